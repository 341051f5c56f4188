"""One run: plan, answers, judgements, scores, gap."""
