"""What the project builds on: known vulnerabilities, hashes of the locks, licences.

``python -m audit`` from the root of the checkout; ``make audit`` installs what it needs first.
"""
