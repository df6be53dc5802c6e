"""The pure decision: objects and outcomes in, plan and statuses out. No clock, I/O, logging, asyncio."""
