"""Lowering: from the IR to torch.fx. The first phase that imports torch."""
