"""A few mutated files for each reader; ``make hardships`` reads more than ten thousand."""

import pytest

from tests.hardships import fuzz
from tests.hardships.readers import READERS, numbers

FILES = 200


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_a_damaged_file_is_refused_in_words_or_read_right(reader, tmp_path):
    n = numbers(FILES)[reader.name]
    outcome = fuzz.run(reader, n, tmp_path, seed=1)
    assert not outcome.failures and outcome.counts["refused"] + outcome.counts["read"] == n
