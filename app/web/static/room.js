/* The reading room: the worklist, or one study of it. Mounted by Streamlit, at home with the API.

   address (?study=ID) -> view          Ids are opaque: nothing about a patient stands in an address. */

import { Api } from "./api.js";
import { fill, h } from "./dom.js";
import { openStudy } from "./reading.js";
import { speaker } from "./words.js";
import { openWorklist } from "./worklist.js";

const LANGUAGE_KEY = "medomni.language"; // the only thing this page keeps in the browser; it says nothing about anybody

let room = null;

/** Mount the room into a Streamlit component, or hand a mounted one its new token; returns what takes it down. */
export function mount({ data, parentElement }) {
  const root = parentElement.querySelector(".medomni-room") ?? parentElement;
  if (room && room.root === root) {
    room.api.token = data.token;
    room.view?.renewed?.();
    return () => {};
  }
  if (room) room.close();
  styles("room.css", "viewer.css");
  room = new Room(root, data);
  room.show();
  return () => { room?.close(); room = null; };
}

class Room {
  constructor(root, data) {
    this.root = root;
    this.api = new Api(data.token);
    this.person = { name: data.name, role: data.role, mayRename: data.may_rename, isNamed: data.is_named, maySign: data.role === "radiologist", mayEdit: ["radiologist", "resident"].includes(data.role) };
    this.language = localStorage.getItem(LANGUAGE_KEY) ?? "en";
    this.say = speaker(this.language);
    this.onBack = () => this.show();
    window.addEventListener("popstate", this.onBack);
    document.body.classList.add("medomni-open");
    this.observer = new MutationObserver(() => setTimeout(() => ownWords(this.say), 0));
    this.observer.observe(document.body, { childList: true });
  }

  /** Show what the address says; `known` is the study's line of the list, where that is at hand. */
  show(known = null) {
    const study = new URLSearchParams(location.search).get("study");
    this.view?.close();
    this.root.lang = this.language === "zh" ? "zh-Hans" : "en";
    const place = h("div", { class: "mo-view" });
    fill(this.root, place);
    this.view = study ? openStudy(place, this, study, known) : openWorklist(place, this);
  }

  /** Go to a study of the list, or to the list without one. */
  go(study = null) {
    performance.mark("medomni open");
    const address = new URL(location.href);
    if (study) address.searchParams.set("study", study.id);
    else address.searchParams.delete("study");
    history.pushState({}, "", address);
    this.show(study?.facts ? study : null);
  }

  /** Speak another language from now on. */
  async speak(language) {
    if (await this.view?.mayLeave?.() === false) return null;
    this.language = language;
    this.say = speaker(language);
    localStorage.setItem(LANGUAGE_KEY, language);
    return this.show();
  }

  /** A switch between the languages of the page. */
  languageSwitch() {
    const other = this.language === "en" ? "zh" : "en";
    return h("button", {
      type: "button", class: "mo-quiet", lang: other === "zh" ? "zh-Hans" : "en", text: other === "zh" ? "中文" : "English",
      on: { click: () => this.speak(other) },
    });
  }

  close() {
    window.removeEventListener("popstate", this.onBack);
    document.body.classList.remove("medomni-open");
    this.observer.disconnect();
    this.view?.close();
    this.root.replaceChildren();
  }
}

/** Say in our words that the server is gone: Streamlit's name a program that nobody here has started. */
function ownWords(say) {
  for (const shown of document.querySelectorAll("body > :not(script) [role=dialog]:not(.medomni-room *)")) {
    const texts = document.createTreeWalker(shown, NodeFilter.SHOW_TEXT);
    let words = say("server_gone");
    while (texts.nextNode()) {
      if (!/streamlit|connected to the internet/i.test(texts.currentNode.data)) continue;
      texts.currentNode.data = words;
      words = "";
    }
  }
}

function styles(...names) {
  for (const name of names) {
    if (document.head.querySelector(`link[data-medomni="${name}"]`)) continue;
    document.head.append(h("link", { rel: "stylesheet", href: `/medomni/${name}`, data: { medomni: name } }));
  }
}
