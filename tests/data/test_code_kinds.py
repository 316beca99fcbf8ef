"""Which kind of thing a passage of code is. Keys are put together here, so that no scanner takes them for real ones."""

from __future__ import annotations

import random
import string

import pytest

from rasura.data._code_kinds import KINDS, code_kind, entropy, has_secret, random_enough

LETTERS = string.ascii_letters + string.digits


def made(n: int, alphabet: str = LETTERS, seed: int = 0) -> str:
    r = random.Random(seed)
    return "".join(r.choice(alphabet) for _ in range(n))


SECRETS = {
    "cloud id": "aws_id = " + "AK" + "IA" + made(16, string.ascii_uppercase + string.digits),
    "code host": "git clone https://" + "gh" + "p_" + made(36) + "@example.org/a.git",
    "chat": "SLACK=" + "xo" + "xb-" + made(24, string.digits),
    "map": "var k='" + "AI" + "za" + made(35) + "'",
    "payment": "stripe." + "sk" + "_live_" + made(24),
    "web token": "Authorization: Bearer " + ".".join(["ey" + "J" + made(12), "ey" + "J" + made(20), made(20)]),
    "private key": "-----BEGIN " + "RSA PRIVATE KEY-----\n" + made(64),
    "url": "DATABASE = 'postgres://ada:w8Tq0zL1@db.example.org/main'",
    "password": 'db.connect(user="ada")\npassword = "Tr0ub4dor&3"',
    "json": '{"user": "ada", "api_key": "' + made(32, "0123456789abcdef") + '"}',
    "yaml": "client_secret: '" + made(20) + "'",
    "testbed": '    client.API_KEY = "sk-' + made(16, "0123456789abcdef") + '"',
}
NOT_SECRETS = {
    "placeholder": 'password = "your-password-here"',
    "environment": 'api_key = "${API_KEY}"',
    "call": 'token = tokenizer("a rather long text with 12 words")',
    "word": 'secret = "swordfish"',
    "path": "https://example.org:8080/a/b@c",
    "checksum": 'sha256 = "' + made(64, "0123456789abcdef") + '"',
    "reading": 'password = os.environ["PASSWORD_17"]',
    "starred": 'password = "**********"',
    "short": 'pwd = "a1b2"',
}


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_found_wherever_it_stands(name):
    assert has_secret(SECRETS[name])
    around = "def area(width, height):\n    return width * height\n"
    assert code_kind(f"{around}{SECRETS[name]}\n{around}") == "secret"


@pytest.mark.parametrize("name", NOT_SECRETS)
def test_what_only_speaks_of_secrets_is_none(name):
    assert not has_secret(NOT_SECRETS[name])


PASSAGES = {
    "licence": [
        "/*\n * Permission is hereby granted, free of charge, to any person obtaining a copy\n * of this software.\n */",
        "# SPDX-License-Identifier: GPL-3.0-or-later\n# Copyright (C) 2019 Ida Kolon\n",
        'The software is provided "as is", without warranty of any kind, express or implied,\nto the extent of the law.',
        "// Licensed under the Apache License, Version 2.0\n// you may not use this file except in compliance\nx = 1;",
    ],
    "test": [
        "def test_area():\n    assert area(2, 3) == 6",
        "    self.assertEqual(area(2, 3), 6)",
        "it('adds', () => {\n  expect(add(1, 2)).toBe(3);\n});",
        "TEST(Area, Square) {\n  EXPECT_EQ(area(2, 2), 4);\n}",
        "#[test]\nfn adds() {\n    assert_eq!(add(1, 2), 3);\n}",
        "@Test\npublic void adds() {\n    assertEquals(3, add(1, 2));\n}",
        "func TestArea(t *testing.T) {\n\tif area(2, 2) != 4 { t.Fail() }\n}",
    ],
    "data": [
        "primes = [2, 3, 5, 7, 11, 13,\n    17, 19, 23]",
        '{\n  "name": "Kolon",\n  "heights": [1.5, 2e-3, -7],\n  "open": true\n}',
        "static const uint8_t table[] = {\n    0x00, 0x1f, 0xa0,\n    0x7f, 0xff, 0x10\n};",
        "1,2,3\n4,5,6\n7,8,9",
        "codes = {\n    'de': 49,\n    'fr': 33,\n}",
    ],
    "documentation": [
        '"""The area of a rectangle.\n\nParameters are width and height in metres, both above 0.\n"""',
        "# Walks the tree from its root.\n# Every node is seen once,\n# leaves last.\ndef walk(): ...",
        "## How to install\n\nRun the installer and follow what it says on the screen.",
        "/**\n * Returns the sum of both.\n * @param a first\n */\nint add(int a, int b);",
    ],
    "code": [
        "def area(width, height):\n    return width * height",
        "for (int i = 0; i < n; i++) {\n    total += weights[i] * x[i];\n}",
        "import os\nfrom pathlib import Path\n",
        "#include <stdio.h>\nint main(void) { return 0; }",
        "# SPDX-License-Identifier: MIT\nimport os\n\ndef walk(folder):\n    for name in os.listdir(folder):\n        yield os.path.join(folder, name)\n",
        "",
    ],
}


@pytest.mark.parametrize(("kind", "text"), [(kind, t) for kind, texts in PASSAGES.items() for t in texts])
def test_passages_are_what_they_look_like(kind, text):
    assert code_kind(text) == kind


def test_the_kinds_are_all_there():
    assert {*PASSAGES, "secret"} == set(KINDS)


def test_entropy_is_at_most_that_of_equal_letters():
    assert entropy("0123456789abcdef") == pytest.approx(4.0)
    assert entropy("aaaa") == 0.0
    assert random_enough(made(16, "0123456789abcdef")) and not random_enough("deadbeef")
