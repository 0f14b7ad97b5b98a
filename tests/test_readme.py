"""The two READMEs say the same: commands, numbers, links, and the order of the headings."""

import re

from conftest import ROOT

ENGLISH = (ROOT / 'README.md').read_text(encoding='utf-8')
CHINESE = (ROOT / 'README.zh-CN.md').read_text(encoding='utf-8')


def code_blocks(text):
    return re.findall(r'```\w*\n(.*?)```', text, re.S)


def inline_code(text):
    return sorted(re.findall(r'`([^`\n]+)`', re.sub(r'```.*?```', '', text, flags=re.S)))


def numbers(text):
    return sorted(re.findall(r'\d+(?:\.\d+)?', re.sub(r'`[^`]*`', '', text)))


def links(text):
    return sorted(re.findall(r'\]\(([^)]+)\)', text.replace('README.zh-CN.md', 'README.md')))


def headings(text):
    return [line.split()[0] for line in text.splitlines() if line.startswith('#')]


def test_same_code_blocks():
    assert code_blocks(ENGLISH) == code_blocks(CHINESE)


def test_same_code_in_the_text():
    assert inline_code(ENGLISH) == inline_code(CHINESE)


def test_same_numbers():
    assert numbers(ENGLISH) == numbers(CHINESE)


def test_same_links():
    assert links(ENGLISH) == links(CHINESE)


def test_same_headings():
    assert headings(ENGLISH) == headings(CHINESE)


def test_linked_files_exist():
    for link in links(ENGLISH):
        assert link.startswith('http') or (ROOT / link).is_file(), link
