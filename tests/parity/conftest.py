"""What makes the stored results needs PyTorch, and is no test."""

collect_ignore_glob = ["make.py", "torch_*.py"]
