"""The offline miniature: five drawn domains, seven drawn benchmarks and a small Qwen2-VL."""
