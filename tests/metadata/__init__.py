"""The databases, each with the contract suites of the port and of the queries."""

import pytest

pytest.register_assert_rewrite(
    "holdfast.metadata.contract",
    "holdfast.metadata.contract_queries",
    "holdfast.metadata.contract_collection",
    "holdfast.metadata.contract_imports",
    "holdfast.metadata.contract_leases",
    "holdfast.metadata.contract_parts",
)
