"""A policy-gradient agent learns to balance a pole on a cart.

Shows training without a ready-made loss: `net.predict` chooses the actions, `net.forward` and `net.backward` carry a
gradient of our own through the network, and `trainer.apply` takes the optimizer's step. The algorithm is REINFORCE
(Williams, 1992) with a learned baseline; the physics are those of Barto, Sutton and Anderson (1983). All episodes of a
round are played side by side, one row each, so that Python's cost is per moment and not per moment and episode.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import steepest as st

EPISODES, LONGEST, DISCOUNT = 32, 300, 0.98


def step_physics(state: NDArray[np.float64], push_right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Move every cart on by 0.02 s; a row is position (m), speed (m/s), angle (rad) and angular speed (rad/s)."""
    _, speed, angle, spin = state.T
    force, gravity, pole_mass, total_mass, half_length = np.where(push_right, 10.0, -10.0), 9.8, 0.1, 1.1, 0.5
    sin, cos = np.sin(angle), np.cos(angle)
    pull = (force + pole_mass * half_length * spin**2 * sin) / total_mass
    spin_up = (gravity * sin - cos * pull) / (half_length * (4 / 3 - pole_mass * cos**2 / total_mass))
    speed_up = pull - pole_mass * half_length * spin_up * cos / total_mass
    return state + 0.02 * np.stack([speed, speed_up, spin, spin_up], axis=1)


def probability_right(logit: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logistic function of the policy's only output."""
    return np.asarray(1 / (1 + np.exp(-logit[:, 0])))


def play(policy: st.Network, rng: np.random.Generator) -> tuple[NDArray[np.float64], ...]:
    """Play the episodes to their ends.

    Returns states (moments + 1, episodes, 4), pushes to the right (moments, episodes), and where the pole still stood
    before each moment and after the last (moments + 1, episodes).
    """
    states, standing = [rng.uniform(-0.05, 0.05, (EPISODES, 4))], [np.ones(EPISODES, bool)]
    pushes: list[NDArray[np.bool_]] = []
    while len(pushes) < LONGEST and standing[-1].any():
        pushes.append(rng.random(EPISODES) < probability_right(policy.predict(states[-1])))
        moved = step_physics(states[-1], pushes[-1])
        states.append(np.where(standing[-1][:, None], moved, states[-1]))  # the fallen wait for the others
        standing.append(standing[-1] & (np.abs(moved[:, 0]) < 2.4) & (np.abs(moved[:, 2]) < np.radians(12)))
    return np.array(states), np.array(pushes), np.array(standing)


def main(rounds: int = 50) -> dict[str, float]:
    """Train, and return the mean length of an episode in the first round and in the last five."""
    rng = np.random.default_rng(0)
    policy = st.Network(4, [st.Dense(32, "tanh"), st.Dense(1)], seed=0)
    critic = st.Network(4, [st.Dense(32, "tanh"), st.Dense(1)], seed=1)
    actor = st.Trainer(policy, "binary_cross_entropy", st.Adam(0.02))  # apply leaves its loss aside
    judge = st.Trainer(critic, "mse", st.Adam(0.02))
    lengths = []
    for number in range(rounds):
        states, pushes, standing = play(policy, rng)
        lengths.append(float(standing[:-1].sum(axis=0).mean()))

        # A moment is worth (1 - discount) in itself, so that a pole that stands for ever is worth 1.
        value = np.empty(pushes.shape)
        later = critic.predict(states[-1])[:, 0] * standing[-1]  # the clock ended these, not a fall
        for t in reversed(range(len(pushes))):
            later = value[t] = (1 - DISCOUNT + DISCOUNT * later) * standing[t]

        played = standing[:-1]
        x, push, value = states[:-1][played], pushes[played], value[played]
        advantage = value - critic.predict(x)[:, 0]
        advantage /= advantage.std()
        # The loss is -mean(advantage * log p(push)); its derivative by the logit is below.
        dy = advantage * (probability_right(policy.forward(x)) - push) / len(x)
        policy.backward(dy[:, None])
        actor.apply(policy.gradients)
        for _ in range(10):
            judge.step(x, value)
        if number % 10 == 9:
            print(f"round {number + 1:3}: the pole stands for {np.mean(lengths[-10:]):5.1f} of {LONGEST} moments")
    return {"first": lengths[0], "last": float(np.mean(lengths[-5:]))}


if __name__ == "__main__":
    main()
