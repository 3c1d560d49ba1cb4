"""Attention of bfloat16, a few heads at a time, is torch's own."""

import pytest
import torch
from torch.nn import functional as F

from meronym.backbones import attention
from meronym.backbones.attention import FewHeads, attend


def heads(tokens: int, batch: int = 2, kind: torch.dtype = torch.bfloat16) -> list[torch.Tensor]:
    """Queries, keys that all have much in common, and values."""
    random = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, batch, 3, tokens, 16, generator=random).to(kind)
    return [q, k + 4, v]


@pytest.mark.parametrize("at_once", [1, 2, 7])
def test_it_is_no_further_from_the_exact_values_than_torch(monkeypatch, at_once):
    q, k, v = heads(40)
    monkeypatch.setattr(attention, "SCORES", at_once * 40 * 40)
    exact = F.scaled_dot_product_attention(q.float(), k.float(), v.float())
    theirs = (F.scaled_dot_product_attention(q, k, v).float() - exact).abs().mean()
    assert (attend(q, k, v).float() - exact).abs().mean() < 2 * theirs
    with torch.autocast("cpu", torch.bfloat16):
        assert attend(q, k, v).dtype == torch.bfloat16


@pytest.mark.parametrize("score", [60.0, 87.75, 200.0])
def test_scores_may_be_beyond_what_an_exponential_can_hold(score):
    """One key that each query sees, and 39 that it does not; the exponential alone, or times a value, is too large."""
    k = torch.full((1, 1, 40, 16), -1.0)
    k[:, :, 7] = 39
    q = torch.zeros(1, 1, 40, 16)
    q[..., 0] = score * 4 / 39
    v = torch.randn(1, 1, 40, 16, generator=torch.Generator().manual_seed(0)) * 100
    found = attend(*(x.to(torch.bfloat16) for x in (q, k, v)))
    torch.testing.assert_close(found.float(), v[:, :, 7:8].expand_as(v), rtol=0.01, atol=0.5)


def test_keys_may_be_fewer_than_queries():
    q, k, v = heads(40)
    exact = F.scaled_dot_product_attention(q.float(), k[:, :, :9].float(), v[:, :, :9].float())
    torch.testing.assert_close(attend(q, k[:, :, :9], v[:, :, :9]).float(), exact, rtol=0.05, atol=0.02)


def test_only_what_it_can_do_is_taken_over(monkeypatch):
    taken = []
    monkeypatch.setattr(attention, "attend", lambda q, k, v: taken.append(q.shape[2]) or v)
    q, k, v = heads(8)
    mask = torch.zeros(8, 8, dtype=torch.bfloat16)
    with FewHeads():
        F.scaled_dot_product_attention(q, k, v, attn_mask=None, dropout_p=0.0, is_causal=False)
        assert taken == [8]
        for options in ({"attn_mask": mask}, {"is_causal": True}, {"dropout_p": 0.5}, {"scale": 1.0}):
            F.scaled_dot_product_attention(q, k, v, **options)
        F.scaled_dot_product_attention(*heads(8, kind=torch.float32))
        F.scaled_dot_product_attention(q[0], k[0], v[0])
        monkeypatch.setattr(attention, "SCORES", 31)
        F.scaled_dot_product_attention(q, k, v)
    F.scaled_dot_product_attention(q, k, v)
    assert taken == [8]
