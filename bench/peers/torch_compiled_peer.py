"""PyTorch with torch.compile."""

from __future__ import annotations

from peers import torch_peer


class Peer(torch_peer.Peer):
    compiled = True
