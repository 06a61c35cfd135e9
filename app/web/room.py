"""The reading room: one component that holds the worklist and the reading view, and speaks with the API by itself.

Streamlit frames it; what a person does inside costs no run of this script, which is why it answers at once.
"""

import streamlit as st

from app.web import place
from app.web.here import require_person

_JS = """
const room = import(new URL("/medomni/room.js", window.location.origin).href);
export default function (component) {
  let close = () => {};
  room.then((module) => { close = module.mount(component); });
  return () => close();
}
"""


def page() -> None:
    """Show the room."""
    person = require_person()
    room = st.components.v2.component("medomni_room", html='<div class="medomni-room"></div>', js=_JS, isolate_styles=False)
    auth = place.auth()
    told: dict[str, str | bool] = {
        "token": auth.token(person),
        "name": person.name,
        "role": person.role.value,
        "may_rename": auth.desk.may_rename,
        "is_named": auth.desk.is_named(person),
    }
    room(data=told, key="room")
