"""PyTorch: eager with its fused optimizers, or with the network and the loss compiled."""

from __future__ import annotations

import torch
from torch import nn

from works import Work


class Peer:
    compiled = False

    def __init__(self, work: Work, threads: int) -> None:
        torch.set_num_threads(threads)
        layers: list[nn.Module] = []
        for w, b in work.weights():
            layer = nn.Linear(*w.shape)
            with torch.no_grad():
                layer.weight.copy_(torch.from_numpy(w.T.copy()))
                layer.bias.copy_(torch.from_numpy(b))
            layers += [layer, {"relu": nn.ReLU, "tanh": nn.Tanh}[work.activation]()]
        self.net = nn.Sequential(*layers[:-1])
        self.criterion = nn.CrossEntropyLoss() if work.loss == "cross_entropy" else nn.MSELoss()
        momentum = 0.9 if work.optimizer == "momentum" else 0
        if work.optimizer == "adam":
            self.optimizer: torch.optim.Optimizer = torch.optim.Adam(self.net.parameters(), lr=work.lr, fused=True)
        else:
            self.optimizer = torch.optim.SGD(self.net.parameters(), lr=work.lr, momentum=momentum, fused=True)
        self.x, self.y = map(torch.from_numpy, work.data())
        self.batch = work.batch
        self.loss = lambda x, y: self.criterion(self.net(x), y)
        self.predict = self.net
        if self.compiled:
            self.loss = torch.compile(self.loss)
            self.predict = torch.compile(self.net)

    def train(self, x, y) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        self.loss(x, y).backward()
        self.optimizer.step()

    def step(self) -> None:
        self.train(self.x, self.y)

    @torch.inference_mode()
    def infer(self) -> None:
        self.predict(self.x)

    def epoch(self) -> None:
        order = torch.randperm(len(self.x))
        for rows in order.split(self.batch):
            self.train(self.x[rows], self.y[rows])

    @torch.inference_mode()
    def outputs(self):
        return self.net(self.x[: self.batch]).numpy()
