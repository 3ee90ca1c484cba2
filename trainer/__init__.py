"""Workers: pull trials, run RLVR on their mixtures, score the benchmarks, post the results."""
