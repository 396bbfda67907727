"""Encrypts and decrypts with Python's cryptography, as fast as it goes.

For each line on standard input, `encrypt` or `decrypt`, a size in bytes and a number of times, it
prints how many it did a second.
"""

import sys
import time

from cryptography.fernet import Fernet

fernet = Fernet(Fernet.generate_key())
for line in sys.stdin:
    work, size, times = line.split()
    text = b"x" * int(size)
    token = fernet.encrypt(text)
    start = time.perf_counter()
    for _ in range(int(times)):
        fernet.encrypt(text) if work == "encrypt" else fernet.decrypt(token)
    print(int(times) / (time.perf_counter() - start), flush=True)
