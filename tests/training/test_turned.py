"""Photos a second time: what is cached is what the backbone sees of the warped photo, a function of the photo alone."""

import torch

from meronym.collections import open_collection
from meronym.methods import KMeans
from meronym.model import to_tensor
from meronym.training.turned import turn_all
from meronym.training.views import warp


def test_turned_features_are_those_of_the_warped_photo():
    toy = open_collection("toy:3", seed=0).split("train")
    method = KMeans(backbone="efficientnet_lite0", size=128).resolved(2)
    segmenter, features = method.prepare(toy, 2)
    photos = turn_all(toy, segmenter, features)
    batch = photos.batch([2, 0])
    for place, row in enumerate([2, 0]):
        view = segmenter.window(toy[row].box)
        photo = to_tensor(toy[row].image.crop(tuple(map(round, view))).resize(segmenter.frame(view)))
        own, turned = segmenter.backbone(torch.stack([photo, warp(photo[None], batch["theta"][[place]])[0]]))
        for found, near, far in ((batch["features"], own, turned), (batch["turned"], turned, own)):
            assert (found[place] * near).sum(0).mean() > 0.9 > (found[place] * far).sum(0).mean()
    assert not torch.equal(batch["theta"][0], batch["theta"][1])
    few = turn_all(toy.select([2, 1]), segmenter, method.prepare(toy.select([2, 1]), 2)[1])
    assert few.turned.paths == photos.turned.paths[:0:-1] and torch.equal(few.theta[0], batch["theta"][0])
