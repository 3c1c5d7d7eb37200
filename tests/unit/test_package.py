import ferkit


def test_what_is_looked_up_late_is_listed():
    assert set(ferkit.__all__) <= set(dir(ferkit))
