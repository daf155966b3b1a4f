"""The KV memory as a ledger of blocks: counted here, never touched as tensors."""
