"""The engine of a checkout: v1. The image build puts the one of its VERSION in this file's place."""

from .v1 import SORRY, VERSION, Answer, choose

__all__ = ["SORRY", "VERSION", "Answer", "choose"]
