"""What the server runs with at this moment: the configuration and the certificate, read again when told or when they change."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import structlog

from holdfast.app.place import Place
from holdfast.app.tls import CertificateFiles
from holdfast.app.worker import Certificate, Plan
from holdfast.auth.users import UsersFileError, check
from holdfast.config.load import ConfigurationError, Loaded
from holdfast.config.settings import Settings
from holdfast.observability import logs

log = structlog.get_logger("holdfast")


class Current:
    """Gives the plan for new workers. Only the main process has it.

    `read` reads the configuration again; it raises `ConfigurationError`.
    """

    def __init__(self, loaded: Loaded, read: Callable[[], Loaded], place: Place, scratch: Path | None = None) -> None:
        """Raises `TLSError` if the certificate cannot be used."""
        self._read = read
        self._started = loaded.settings
        self._files, certificate = _certificate(loaded.settings)
        self.plan = Plan(loaded.settings, place, str(uuid4()), os.getpid(), certificate, scratch)
        self._proven = self.plan

    def certificate_changed(self) -> bool:
        """Look at the certificate's files; tells whether new workers would use another one."""
        return self._files is not None and self._files.reload() is not None

    def prove(self, plan: Plan) -> None:
        """A worker serves with this plan."""
        self._proven = plan

    def fall_back(self) -> None:
        """A worker cannot start: go back to the plan that workers serve with."""
        if self.plan is not self._proven:
            log.error("new configuration not accepted, the one in use stays", reason="no worker can start with it")
            self.plan = self._proven

    def reread(self) -> bool:
        """Read the configuration again for the workers to come; a bad one is logged, and the present one stays."""
        try:
            loaded = self._read()
            settings = loaded.settings
            if settings.auth.htpasswd:
                check(settings.auth.htpasswd.path)
        except (ConfigurationError, UsersFileError) as error:
            for warning in error.warnings if isinstance(error, ConfigurationError) else []:
                log.warning(warning)
            for message in error.messages if isinstance(error, ConfigurationError) else [str(error)]:
                log.error("new configuration not accepted, the one in use stays", reason=message)
            return False
        for warning in loaded.warnings:
            log.warning(warning)
        before = _fixed(self._started)
        for key, value in _fixed(settings).items():
            if value != before[key]:
                log.warning("this changed setting takes effect with the next start only", key=key)
        self.plan = replace(self.plan, settings=settings)
        logs.configure(settings.log.level, settings.log.formatter, settings.log.fields)
        return True


def _fixed(settings: Settings) -> dict[str, object]:
    """What is decided when the server starts."""
    return {
        "http.addr": settings.http.addr,
        "http.net": settings.http.net,
        "http.tls": settings.http.tls,
        "http.draintimeout": settings.http.draintimeout,
        "storage.filesystem.rootdirectory": settings.storage.filesystem and settings.storage.filesystem.rootdirectory,
        "storage.inmemory": settings.storage.inmemory,
        "storage.s3": settings.storage.s3,
        "storage.gcs": settings.storage.gcs,
        "storage.azure": settings.storage.azure,
        "metadata": settings.metadata,
        "server.workers": settings.server.workers,
        "server.engine": settings.server.engine,
    }


def _certificate(settings: Settings) -> tuple[CertificateFiles | None, Certificate | None]:
    tls = settings.http.tls
    if not tls.certificate:
        return None, None
    files = CertificateFiles(tls.certificate, tls.key)
    loaded = files.load()
    return files, Certificate(str(loaded.certificate), str(loaded.key), tls.minimumtls)
