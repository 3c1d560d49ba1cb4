"""The forms of the term across photos (Table 2): what each compares with what."""

import numpy as np
import pytest
import torch

from meronym.features import FeatureSet
from meronym.methods.contrastive import Contrastive, HeadTraining
from meronym.objectives import contrastive, descriptor_distance, draw_partners, pool, view_partners
from meronym.segmenters import LinearHead
from meronym.training.sampling import generator
from meronym.training.turned import Turned


@pytest.mark.parametrize("across", ["contrastive", "l2", "views"])
def test_across(across, tmp_path):
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{i}.npy" for i in range(8)]
    for path in paths:
        np.save(path, rng.standard_normal((12, 6, 6), dtype=np.float32))
    plain, other = (
        FeatureSet([0, 1, 2, 3], half, np.full((4, 6, 6), 255, np.uint8), []) for half in (paths[:4], paths[4:])
    )
    head = LinearHead(12, 3)
    head.start_from(torch.from_numpy(rng.standard_normal((3, 12), dtype=np.float32)), 0.1)
    method = Contrastive(backbone="efficientnet_lite0", batch=4, centre=0.0, across=across).resolved(3)
    turned = Turned(plain, other, torch.eye(2, 3).repeat(4, 1, 1)) if across == "views" else None
    training = HeadTraining(method, head, plain, 0, turned)
    batch = training.batch(5, 0, 1)
    z, moved = (pool(head(x).softmax(1), [x]).z for x in (batch["features"], batch.get("turned", batch["features"])))
    partners = draw_partners(4, 3, generator(0, "partners", 5))
    expected = {
        "contrastive": contrastive(z, partners, 0.19, cosine=True),
        "l2": descriptor_distance(z, partners),
        "views": contrastive(torch.cat([z, moved]), view_partners(4, 3), 0.19, cosine=True),
    }
    total, terms = training.loss(head, batch, lambda x: x)
    torch.testing.assert_close(terms["L_c"], expected.pop(across))
    assert all((terms["L_c"] - value).abs() > 1e-3 for value in expected.values())
    torch.testing.assert_close(total, terms["L_f"] + method.lambda_c * terms["L_c"])

    outcome = training.outcome()  # on the same batches whatever the seed of the training
    assert outcome == HeadTraining(method, head, plain, 7, turned).outcome()
    assert outcome["total"] == pytest.approx(outcome["L_f"] + method.lambda_c * outcome["L_c"], rel=1e-5)
    head.weight.data *= 0
    assert training.outcome() != outcome
