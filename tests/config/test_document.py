"""docs/configuration.md says what the declarations say."""

import re
from pathlib import Path

from holdfast.config.declared import settings, variable_name
from holdfast.config.document import document
from holdfast.config.foreign import FOREIGN
from holdfast.config.load import load

COMMITTED = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_committed_document_is_the_generated_one() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == document(), "run python -m holdfast.config.document"


def test_every_setting_is_described() -> None:
    text = document()
    for setting in settings():
        assert setting.help.endswith("."), setting.key
        assert f"### {setting.key}\n" in text
        assert f"`{setting.variable}`" in text
    for key in ("health.file", "health.http", "health.tcp", "validation.manifests.indexes.platformlist"):
        assert f"### {key}\n" in text
        assert f"`{variable_name(key)}_N` for one section" in text
    for key in FOREIGN:
        assert f"| `{key}` |" in text


def test_the_example_in_it_works(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", document(), re.DOTALL)
    path = tmp_path / "config.yml"
    path.write_text(example, encoding="utf-8")
    loaded = load(str(path), {})
    assert loaded.warnings == ()
    assert loaded.settings.storage.delete.enabled
