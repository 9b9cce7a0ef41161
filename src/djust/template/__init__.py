"""Django templates, compiled to Python: parsed by Django, split into static markup and parts."""

from djust.template.cache import CompiledTemplate, compile_template

__all__ = ["CompiledTemplate", "compile_template"]
