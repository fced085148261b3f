# SPDX-License-Identifier: Apache-2.0
"""An example of a command for target.potential = process: reads {"text": "..."} a line, writes one number a line."""
import json
import sys

for line in sys.stdin:
    text = json.loads(line)["text"]
    # Any model would stand here. This one likes many different letters.
    print(0.1 * len(set(text.lower()) & set("abcdefghijklmnopqrstuvwxyz")), flush=True)
