"""NumPy in float32, every array made once and every operation in place."""

from __future__ import annotations

import numpy as np

from works import Work


class Peer:
    def __init__(self, work: Work, threads: int) -> None:
        self.work = work
        self.w = [w for w, _ in work.weights()]
        self.b = [b for _, b in work.weights()]
        self.x, self.y = work.data()
        self.order = np.random.default_rng(2)
        n = work.batch
        self.h = [np.empty((n, size), np.float32) for size in work.sizes]
        self.d = [np.empty((n, size), np.float32) for size in work.sizes]
        self.gw = [np.empty_like(w) for w in self.w]
        self.gb = [np.empty_like(b) for b in self.b]
        if work.table == "infer":
            return
        self.parameters = self.w + self.b
        self.gradients = self.gw + self.gb
        self.spare = [np.empty_like(p) for p in self.parameters]
        if work.optimizer != "sgd":
            self.m = [np.zeros_like(p) for p in self.parameters]
        if work.optimizer == "adam":
            self.v = [np.zeros_like(p) for p in self.parameters]
            self.t = 0

    def forward(self, x):
        a = x
        for i, (w, b) in enumerate(zip(self.w, self.b, strict=True)):
            a = np.matmul(a, w, out=self.h[i + 1])
            a += b
            if i + 1 < len(self.w):
                if self.work.activation == "relu":
                    np.maximum(a, 0, out=a)
                else:
                    np.tanh(a, out=a)
        return a

    def train(self, x, y) -> None:
        out = self.forward(x)
        d = self.d[-1]
        n = len(x)
        if self.work.loss == "cross_entropy":
            np.subtract(out, out.max(axis=1, keepdims=True), out=d)
            np.exp(d, out=d)
            d /= d.sum(axis=1, keepdims=True)
            d[np.arange(n), y] -= 1
            d *= np.float32(1 / n)
        else:
            np.subtract(out, y, out=d)
            d *= np.float32(2 / d.size)
        for i in range(len(self.w) - 1, -1, -1):
            a = self.h[i] if i else x
            np.matmul(a.T, self.d[i + 1], out=self.gw[i])
            np.sum(self.d[i + 1], axis=0, out=self.gb[i])
            if i:
                np.matmul(self.d[i + 1], self.w[i].T, out=self.d[i])
                if self.work.activation == "relu":
                    self.d[i] *= a > 0
                else:
                    np.multiply(a, a, out=a)
                    np.subtract(1, a, out=a)
                    self.d[i] *= a
        self.update()

    def update(self) -> None:
        lr = np.float32(self.work.lr)
        if self.work.optimizer == "sgd":
            for p, g in zip(self.parameters, self.gradients, strict=True):
                g *= lr
                p -= g
        elif self.work.optimizer == "momentum":
            for p, g, m, s in zip(self.parameters, self.gradients, self.m, self.spare, strict=True):
                m *= np.float32(0.9)
                m += g
                np.multiply(m, lr, out=s)
                p -= s
        else:
            self.t += 1
            rate = np.float32(self.work.lr / (1 - 0.9**self.t))
            root = np.float32(1 / np.sqrt(1 - 0.999**self.t))
            for p, g, m, v, s in zip(self.parameters, self.gradients, self.m, self.v, self.spare, strict=True):
                m *= np.float32(0.9)
                np.multiply(g, np.float32(0.1), out=s)
                m += s
                g *= g
                g *= np.float32(0.001)
                v *= np.float32(0.999)
                v += g
                np.sqrt(v, out=s)
                s *= root
                s += np.float32(1e-8)
                np.divide(m, s, out=s)
                s *= rate
                p -= s

    def step(self) -> None:
        self.train(self.x, self.y)

    def infer(self) -> None:
        self.forward(self.x)

    def epoch(self) -> None:
        order = self.order.permutation(len(self.x))
        for first in range(0, len(order), self.work.batch):
            rows = order[first : first + self.work.batch]
            self.train(self.x[rows], self.y[rows])

    def outputs(self):
        return self.forward(self.x[: self.work.batch]).copy()
