"""Who looks at a page: the one person of this machine, or whoever has signed in."""

import streamlit as st

from app.auth import NotSignedIn
from app.store.people import Person
from app.web import place


def require_person() -> Person:
    """Return who looks at this page; a page of its own asks them to sign in first."""
    auth = place.auth()
    if not auth.desk.has_sign_in:
        return auth.desk.person_here()
    if not st.user.is_logged_in:
        st.title("MedOmni")
        st.write("Sign in with your hospital's account to read and sign reports.")
        st.button("Sign in", on_click=st.login, type="primary")
        st.stop()
    try:
        return auth.of_claims(st.user.to_dict())
    except NotSignedIn as error:
        st.error(f"{error.wrong[:1].upper()}{error.wrong[1:]}: {error.remedy}.")
        st.button("Sign out", on_click=st.logout)
        st.stop()
