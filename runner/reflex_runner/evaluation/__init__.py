"""A policy's success in closed loop: the same seeds for every policy, with intervals, pairs and ablations."""

from __future__ import annotations

from reflex_runner.evaluation.comparison import Comparison
from reflex_runner.evaluation.evaluating import evaluate
from reflex_runner.evaluation.outcomes import EpisodeOutcome, Evaluation
from reflex_runner.evaluation.report import EvaluationReport

__all__ = ["Comparison", "EpisodeOutcome", "Evaluation", "EvaluationReport", "evaluate"]
