"""Work done ahead: in order, bounded, and given up when nobody wants the rest."""

import threading

import pytest

from meronym.ahead import ahead


def test_results_come_in_order_and_no_more_than_depth_are_in_flight():
    begun = []

    def items():
        for i in range(20):
            begun.append(i)
            yield i

    results = []
    for item, future in ahead(lambda i: i * i, items(), workers=3, depth=5):
        assert len(begun) <= item + 5
        results.append(future.result())
    assert results == [i * i for i in range(20)]


def test_an_error_is_told_where_its_result_is_asked_for():
    found = dict(ahead(lambda i: 1 // i, [1, 0, 2], workers=2, depth=3))
    assert found[2].result() == 0
    with pytest.raises(ZeroDivisionError):
        found[0].result()


def test_what_nobody_waits_for_any_more_is_not_begun():
    go, done = threading.Event(), []

    def slow(i):
        go.wait(5)
        done.append(i)

    flow = ahead(slow, range(50), workers=1, depth=10)
    next(flow)
    threading.Timer(0.05, go.set).start()
    flow.close()
    assert len(done) <= 2
