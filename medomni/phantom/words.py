"""The clinical history of a phantom, in English and Chinese, in keeping with its diseases."""

import numpy as np

from medomni.phantom.disease import Placed
from medomni.phantom.person import Person

_STORIES = {
    "lung_opacity": ("Fever and dry cough for {days} days.", "发热、干咳{days}天。"),
    "consolidation": ("Fever and productive cough for {days} days.", "发热、咳嗽、咳痰{days}天。"),
    "pleural_effusion": ("Shortness of breath and chest pain for {days} days.", "气促、胸痛{days}天。"),
    "emphysema": ("Smoker for {years} years, shortness of breath on exertion.", "吸烟{years}年，活动后气促。"),
    "lung_nodule": ("Follow-up of a lung nodule.", "肺结节随访。"),
}
_ROUTINE = ("Routine health check, no symptoms.", "健康体检，无明显不适。")


def history(person: Person, placed: tuple[Placed, ...], language: str) -> str:
    """Return the history of a phantom in ``en`` or ``zh``; both languages state the same facts."""
    rng = np.random.default_rng([person.seed, 6])
    facts = {"days": int(rng.integers(2, 15)), "years": int(rng.integers(10, max(11, person.age_years - 18)))}
    column = 1 if language == "zh" else 0
    kinds = list(dict.fromkeys(item.kind for item in placed))
    told = [_STORIES[kind][column].format(**facts) for kind in kinds] or [_ROUTINE[column]]
    if language == "zh":
        return f"{'男' if person.sex == 'M' else '女'}，{person.age_years}岁。" + "".join(told)
    who = "man" if person.sex == "M" else "woman"
    return " ".join([f"{person.age_years}-year-old {who}.", *told])
