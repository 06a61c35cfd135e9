"""The pages of the reading room, as Streamlit runs them: who is here, then the page that was chosen.

Streamlit runs this file from the top at each visit; the work is in the pages.
"""

import streamlit as st

from app.web import room, team
from app.web.here import require_person

st.set_page_config(page_title="MedOmni", page_icon="🫁", layout="wide", initial_sidebar_state="collapsed")
person = require_person()
page = st.navigation(
    [
        st.Page(room.page, title="Reading room", icon=":material/radiology:", url_path="room", default=True),
        st.Page(team.adapters, title="Adapters and runs", icon=":material/model_training:", url_path="adapters"),
        st.Page(team.trail, title="Audit trail", icon=":material/history:", url_path="audit"),
        st.Page(team.health, title="System health", icon=":material/monitor_heart:", url_path="health"),
    ],
    position="top",
)
page.run()
