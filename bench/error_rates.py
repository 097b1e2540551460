"""How often verdicts and claims are wrong: `python -m bench.error_rates`, for docs/verdicts.md."""

from __future__ import annotations

from bench.claim_rates import render_claim_rates
from bench.verdict_rates import render_rates
from pipeline.experiments import PARAMS, build_experiment
from pipeline.reports.claims.file import load_claims
from pipeline.reports.verdict import load_rules


def main() -> None:
    rules, experiment = load_rules(PARAMS), build_experiment("paper", 1)
    claims = load_claims(PARAMS, experiment.tables)
    print(f"{render_rates(rules)}\n\n{render_claim_rates(claims, experiment, rules)}")


if __name__ == "__main__":
    main()
