"""Bad and half-finished input on the subscription pages: told at its field, and nothing typed is lost (F17)."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from notifications import subscriptions
from notifications.models import Brand, SignUp, Subscriber, Topic
from notifications.subscriptions import Choice

from .test_subscription_pages import FORGED, FORM, GOOD, link

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"address": ""}, "address", "Enter your e-mail address"),
        ({"address": "ada@x.example\r\nBcc: eve@x.example"}, "address", "Please write this on one line."),
        ({"address": "ada\x07@x.example"}, "address", "U+0007"),
        ({"address": "a" * 50_000 + "@x.example"}, "address", "at most 254 characters"),
        ({"address": '"><script>alert(1)</script>@x.example'}, "address", "quotation marks"),
        ({"scope": "some"}, "topics", "Choose at least one component"),
        ({"scope": "some", "topics": ["999999"]}, "topics", "no longer offered"),
        ({"scope": "some", "topics": ["1 OR 1=1"]}, "topics", "no longer offered"),
        ({"scope": "some", "topics": [str(10**30)]}, "topics", "no longer offered"),
        ({"scope": "some", "topics": ["\x00"]}, "topics", "no longer offered"),
        ({"scope": "everything"}, "scope", "Choose all components, or only some."),
        ({"least_rank": "0"}, "least_rank", "Choose which incidents"),
        ({"least_rank": ""}, "least_rank", "Choose which incidents"),
        ({"wants_incidents": "", "wants_maintenance": ""}, "wants_incidents", "Choose incidents, planned maint"),
    ],
)
def test_bad_input_is_told_at_its_field(
    visitor: Client, brand: Brand, topics: list[Topic], change: dict[str, object], field: str, said: str
) -> None:
    """F17: a summary that links to the field, the words beside it, and nothing else changed or wrong."""
    form = GOOD | change
    page = visitor.post(FORM, {key: value for key, value in form.items() if value != "" or key == "address"})
    assert (page.status_code, SignUp.objects.count()) == (422, 0)
    assert [name for name, _ in page.context["form"].complaints] == [field]
    assert said in page.context["form"].complaints[0][1]
    html = page.content.decode()
    anchor = "id_address" if field == "address" else field
    assert (f'<li><a href="#{anchor}">' in html, html.count(f'id="{anchor}"')) == (True, 1)
    assert html.count('<p class="error"') == 1
    assert "<title>Error: Subscribe to updates – Northwind status</title>" in html
    assert "<script>alert" not in html


def test_everything_typed_is_kept(visitor: Client, brand: Brand, topics: list[Topic]) -> None:
    typed = '<b>"ada"'
    page = visitor.post(
        FORM,
        {"address": typed, "scope": "some", "topics": [topics[1].pk], "wants_maintenance": "on", "least_rank": "2"},
    ).content.decode()
    assert 'value="&lt;b&gt;&quot;ada&quot;"' in page
    assert page.count(" checked") == 5
    for kept in (
        'name="scope" value="some" checked',
        f'name="topics" value="{topics[1].pk}" checked',
        'name="wants_maintenance" checked',
        'name="least_rank" value="2" checked',
        'name="when" value="now" checked',
    ):
        assert kept in page


def test_two_things_wrong_are_told_together(visitor: Client, brand: Brand) -> None:
    page = visitor.post(FORM, {"address": "ada", "scope": "some", "least_rank": "4"})
    assert [name for name, _ in page.context["form"].complaints] == ["address", "wants_incidents", "topics"]
    assert b"3 things need a change" in page.content


def test_a_component_withdrawn_since_is_kept_until_dropped(
    visitor: Client, ada: Subscriber, topics: list[Topic]
) -> None:
    subscriptions.choose(ada, Choice(all_topics=False, topics=(topics[0].pk,)), at=timezone.now())
    Topic.objects.filter(pk=topics[0].pk).update(offered=False)
    assert f'name="topics" value="{topics[0].pk}" checked' in visitor.get(link(ada, "manage")).content.decode()
    some = {"act": "choose", "scope": "some", "wants_incidents": "on", "least_rank": "4"}
    assert visitor.post(link(ada, "manage"), some | {"topics": [topics[0].pk]}).status_code == 200
    assert visitor.post(link(ada, "manage"), some | {"topics": [topics[1].pk]}).status_code == 200
    assert visitor.post(link(ada, "manage"), some | {"topics": [topics[0].pk]}).status_code == 422


def test_an_empty_choice_of_a_subscriber_is_refused(visitor: Client, ada: Subscriber, topics: list[Topic]) -> None:
    page = visitor.post(link(ada, "manage"), {"act": "choose", "scope": "some", "least_rank": "4"})
    assert (page.status_code, Choice.of(Subscriber.objects.get())) == (422, Choice())
    assert [name for name, _ in page.context["form"].complaints] == ["wants_incidents", "topics"]


def test_changing_an_ended_subscription_shows_the_way_back(visitor: Client, ada: Subscriber) -> None:
    subscriptions.unsubscribe(ada, at=timezone.now())
    page = visitor.post(
        link(ada, "manage"), {"act": "choose", "scope": "all", "wants_incidents": "1", "least_rank": "4"}
    )
    assert (page.status_code, b"You are not subscribed at the moment." in page.content) == (404, True)
    assert b'value="rejoin"' in visitor.get(link(ada, "manage")).content


def test_a_refused_address_is_told_why(visitor: Client, ada: Subscriber) -> None:
    Subscriber.objects.update(bounced_at=timezone.now())
    page = visitor.get(link(ada, "manage"))
    assert (page.status_code, b"refused our mail for good" in page.content) == (200, True)
    assert b'value="rejoin"' not in page.content


def test_before_set_up_the_pages_stand(visitor: Client, db: None) -> None:
    page = visitor.get(FORM)
    assert (page.status_code, b"<title>Subscribe to updates \xe2\x80\x93 Service status</title>" in page.content) == (
        200,
        True,
    )
    assert visitor.post(FORM, GOOD).status_code == 200
    assert visitor.get(f"/subscriptions/unsubscribe/{FORGED}").status_code == 200
