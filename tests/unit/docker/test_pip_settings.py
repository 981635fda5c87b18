"""What a build learns of this machine's package sources."""

from deploy.docker.pip_settings import PipSettings

LISTED = """\
:env:.cert='/own/bundle.crt'
:env:.default-timeout='180'
global.cert='/system/bundle.crt'
global.extra-index-url='file:///pypi/simple\\nhttps://index.example/simple'
global.find-links='/wheels'
install.index-url='https://mirror.example/simple'
"""


def test_sources_are_kept_and_the_environment_goes_over_files() -> None:
    assert PipSettings.parse(LISTED).values == {
        "cert": "/own/bundle.crt",
        "extra-index-url": "file:///pypi/simple https://index.example/simple",
        "find-links": "/wheels",
        "index-url": "https://mirror.example/simple",
    }


def test_paths_are_what_must_be_mounted() -> None:
    assert PipSettings.parse(LISTED).paths == ["/own/bundle.crt", "/pypi", "/wheels"]


def test_only_addresses_are_passed_as_variables() -> None:
    assert PipSettings.parse(LISTED).variables == {"PIP_INDEX_URL": "https://mirror.example/simple"}


def test_the_file_says_the_same() -> None:
    text = PipSettings.parse("global.find-links='/a'\nglobal.cert='/b'\n").text
    assert text == "[global]\nfind-links = /a\ncert = /b\n"
