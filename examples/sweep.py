"""A sweep with Optuna: the study is a run, and every trial is a run below it, with its curve.

Needs optuna. With a server running (`make serve`):

    python examples/sweep.py
"""

from __future__ import annotations

import optuna

from modelbox.integrations.optuna import ModelBoxCallback

STEPS = 20


def objective(trial: optuna.Trial) -> float:
    """Descend a parabola; a learning rate that is hopeless is given up early."""
    lr = trial.suggest_float("lr", 1e-3, 1.5, log=True)
    momentum = trial.suggest_float("momentum", 0.0, 0.9)
    x, speed = 5.0, 0.0
    for step in range(STEPS):
        speed = momentum * speed - lr * 2 * x
        x += speed
        trial.report(x * x, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return x * x


def main() -> None:
    """Try twelve settings."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(study_name="parabola", sampler=optuna.samplers.TPESampler(seed=0))
    with ModelBoxCallback(study, name="sweep", labels=["example"]) as callback:
        study.optimize(objective, n_trials=12, callbacks=[callback])
    print(f"best: {study.best_value:.6f} with {study.best_params}")


if __name__ == "__main__":
    main()
