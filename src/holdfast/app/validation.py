"""The `validation` section as the rules that manifests are read with."""

import re

from holdfast.config.settings import ManifestURLs, Validation
from holdfast.model.rules import LENIENT, Rules, URLRules


def rules_of(validation: Validation) -> Rules:
    """What the section asks for. Its patterns are known to compile.

    registry:2 allows no URLs unless it is told which. Here all are allowed unless the section says `urls`, or `enabled: true`: clients leave
    layers with URLs out of a push, and the protocol's own tests push such manifests.
    """
    if validation.disabled:
        return LENIENT
    urls = validation.manifests.urls or (ManifestURLs() if validation.enabled else None)
    indexes = validation.manifests.indexes
    platforms = {(platform.os, platform.architecture) for platform in indexes.platformlist}
    return Rules(
        urls=URLRules(_compiled(urls.allow), _compiled(urls.deny)) if urls else None,
        every_child=indexes.platforms == "all",
        platforms=frozenset(platforms) if indexes.platforms == "list" else frozenset(),
    )


def _compiled(patterns: list[str]) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern) for pattern in patterns)
