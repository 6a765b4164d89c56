import httpx2
from prometheus_client import CollectorRegistry

from rbl.web.app import create_app
from rbl.web.parts import Parts


def test_making_the_application_asks_no_database(parts: Parts) -> None:
    """It can be made while the database is down: it answers 503 then, and DNS goes on."""
    parts.store.close()
    with parts.store.writing() as session:
        session.connection().exec_driver_sql("ALTER TABLE hosts RENAME TO lost")

    app = create_app(parts)

    assert isinstance(parts.registry, CollectorRegistry)
    assert app.state.parts is parts


def test_no_documentation_page_loads_foreign_scripts(api: httpx2.Client) -> None:
    """The framework's own pages would: they are off."""
    assert [404, 404] == [api.get(path).status_code for path in ("/docs", "/redoc")]


def test_a_proxy_that_is_not_believed_cannot_name_clients(api: httpx2.Client) -> None:
    """Without trusted proxies X-Forwarded-Proto and -For change nothing."""
    answer = api.get("/", params={"q": "9.9.9.9"}, headers={"X-Forwarded-Proto": "https"})

    assert "/a/9.9.9.9" == answer.headers["Location"]
