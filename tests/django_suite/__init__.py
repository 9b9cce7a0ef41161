"""Django's own test suite, with every template rendered by compiled code.

`package` takes Django's source package, `compiled` runs its tests in a process of their own, and
`test_django_suite` judges.
"""
