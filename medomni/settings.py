"""The settings of one program, read once from ``MEDOMNI_*`` environment variables and passed on as a frozen value.

Knows nothing about who uses a setting. Each field's description is its documentation (docs/reference/settings.md).
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, SecretStr, ValidationError

from medomni.errors import BadSettings
from medomni.types.codes import Value

PREFIX: Final = "MEDOMNI_"
TEMPLATE: Final = "template"
"""The drafter that words nothing anew."""
TEST_ONLY: Final = ("MEDOMNI_DATA", "MEDOMNI_KILL_AT")
"""Variables that are for the test suite alone: where it finds real CT, and where a process ends as in a power cut."""


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Settings(Value):
    """Everything that can be set from outside; a field ``threads`` is the variable ``MEDOMNI_THREADS``."""

    threads: int = Field(default_factory=_cores, ge=1, le=256, description="CPU threads of a network's forward pass, 1 to 256.")
    device: str = Field(
        default="cpu", pattern=r"^(cpu|cuda(:\d+)?)$", description="Torch device of a network: cpu, cuda or cuda:N."
    )
    home: Path = Field(description="Folder of MedOmni's own files: the MLflow database, the cache of converted networks.")
    tracking_uri: str = Field(
        pattern=r"^(sqlite|postgresql|mysql|http|https)[+a-z0-9]*://[^\r\n]+$",
        description="MLflow store that --track logs to: a sqlite:/// path, a database URL or a server's address.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="warning", description="What MedOmni's own log writes to stderr: debug, info, warning or error."
    )
    patient_id_system: str = Field(
        default="",
        max_length=255,
        pattern=r"^((urn:[A-Za-z0-9][A-Za-z0-9-]{1,31}:|https?://)[A-Za-z0-9:/?#@!$&'()*+,;=%._~-]+)?$",
        description="URI of the hospital's patient numbers, urn:... or http(s)://...: FHIR then names the patient.",
    )
    cache_mib: int = Field(
        default=1024,
        ge=0,
        le=1 << 20,
        description="MiB of segmentations and findings that are kept, so that a second draft is quick; 0 keeps none.",
    )
    model: Path | None = Field(
        default=None, description="Omni model in place of the one that ships: its folder, or a packed one (medomni weights pack)."
    )
    style: Path | None = Field(
        default=None, description="House style of drafts, a file of medomni style; for drafts in its language."
    )
    speech: Literal["tiny", "base"] = Field(
        default="tiny",
        description="Speech recogniser, pulled before: tiny (weights speech), or base (weights speech-base).",
    )
    database_url: SecretStr = Field(
        description="Database of studies, reports and audit: a sqlite:/// path or postgresql+pg8000://...; may hold a password."
    )
    person: str = Field(
        default="",
        max_length=255,
        description="Name that stands under reports signed on this machine alone; without one, who signs writes it.",
    )
    queue: int = Field(default=16, ge=1, le=1000, description="Drafts that may wait or be under way; more are turned away.")
    upload_mib: int = Field(default=2048, ge=1, le=1 << 20, description="MiB that one upload may have.")
    oidc_issuer: str = Field(
        default="",
        max_length=1024,
        pattern=r"^(https?://[^\s]+)?$",
        description="Address of the OpenID provider that people sign in with; without one, only this machine may connect.",
    )
    oidc_client: str = Field(default="", max_length=255, description="Client id of MedOmni at that provider.")
    oidc_secret: SecretStr = Field(default=SecretStr(""), description="Client secret of MedOmni at that provider.")
    oidc_role_claim: str = Field(
        default="roles",
        max_length=255,
        description="Claim with a person's role: radiologist, resident, integration, ml, admin.",
    )
    public_url: str = Field(
        default="",
        max_length=1024,
        pattern=r"^(https?://[^\s/]+)?$",
        description="Address that browsers reach the server at, for example https://reports.hospital.example.",
    )
    drafter: str = Field(
        default=TEMPLATE,
        max_length=255,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="What words drafts, of the reading room too: template (fixed phrases) or an installed drafter.",
    )
    adapter: Path | None = Field(
        default=None, description="Adapter of that drafter: a folder, or the name of one that ships (chest_ct, abdomen_ct)."
    )
    drafter_url: str = Field(
        default="",
        max_length=2048,
        pattern=r"^(https?://[^\s]+)?$",
        description="Address of an OpenAI-compatible server for the drafter openai-compatible, for example http://127.0.0.1:8000/v1.",
    )
    drafter_model: str = Field(
        default="", max_length=1024, description="Model of that server, or folder or hub name of a Qwen-Omni model for qwen-omni."
    )
    drafter_key: SecretStr = Field(
        default=SecretStr(""), description="Key that the server of drafter_url asks for; never printed or logged."
    )


def load(environment: Mapping[str, str]) -> Settings:
    """Return the settings that the environment states, defaults elsewhere.

    Raises:
        BadSettings: a variable's value cannot be used. The value itself is not shown: it may hold a password.
    """
    stated = {
        name: environment[variable]
        for name in Settings.model_fields
        if environment.get(variable := PREFIX + name.upper(), "") != ""
    }
    home = Path(stated.get("home") or _default_home(environment)).expanduser()
    if not home.is_absolute():
        raise BadSettings("the folder is not absolute", remedy="give a path that starts at /", where="MEDOMNI_HOME")
    own = {"tracking_uri": f"sqlite:///{home / 'mlflow.db'}", "database_url": f"sqlite:///{home / 'medomni.db'}"}
    values = own | stated | {"home": home}
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        field = str(error.errors()[0]["loc"][0])
        raise BadSettings(
            "the value cannot be used",
            remedy=str(Settings.model_fields[field].description).rstrip("."),
            where=PREFIX + field.upper(),
        ) from None


def unknown(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the ``MEDOMNI_*`` variables that are no setting: most often a slip of the pen."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | set(TEST_ONLY)
    return tuple(sorted(name for name in environment if name.startswith(PREFIX) and name not in known))


def _default_home(environment: Mapping[str, str]) -> Path:
    """The user's data folder as the XDG base directory specification places it."""
    data_home = Path(environment.get("XDG_DATA_HOME") or "~/.local/share")
    return (data_home if data_home.is_absolute() else Path("~/.local/share")) / "medomni"
