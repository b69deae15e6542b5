"""The stores and locks, each with the contract suite of its port."""

import pytest

pytest.register_assert_rewrite(
    "holdfast.storage.contract", "holdfast.storage.contract_locks", "holdfast.storage.contract_links"
)
