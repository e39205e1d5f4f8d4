"""Where each page stands."""

from django.urls import path

from sessions.web.views import (
    account,
    alerts,
    answers,
    bulk,
    checkpoints,
    figures,
    inbox,
    listing,
    log,
    search,
    session,
    transcript,
    wall,
)

app_name = "web"

urlpatterns = [
    path("", wall.wall, name="wall"),
    path("inbox/", inbox.inbox, name="inbox"),
    path("inbox/count/", inbox.count, name="inbox-count"),
    path("search/", search.search_page, name="search"),
    path("figures/", figures.figures_page, name="figures"),
    path("sign-in/", account.SignIn.as_view(), name="sign-in"),
    path("sign-out/", account.SignOut.as_view(), name="sign-out"),
    path("appearance/", account.appearance, name="appearance"),
    path("account/alerts/", alerts.alerts, name="alerts"),
    path("account/alerts/browser/", alerts.choose, name="notifications"),
    path("account/alerts/webhooks/<int:pk>/", alerts.webhook, name="webhook"),
    path("account/alerts/webhooks/<int:pk>/test/", alerts.try_out, name="try-webhook"),
    path("account/alerts/webhooks/<int:pk>/secret/", alerts.renew_secret, name="renew-secret"),
    path("account/alerts/webhooks/<int:pk>/remove/", alerts.remove, name="remove-webhook"),
    path("sessions/", listing.sessions, name="sessions"),
    path("sessions/bulk/", bulk.bulk, name="bulk"),
    path("sessions/<uuid:uuid>/", session.session, name="session"),
    path("sessions/<uuid:uuid>/glance/", session.glance, name="glance"),
    path("sessions/<uuid:uuid>/seen/", session.seen, name="seen"),
    path("sessions/<uuid:uuid>/edit/", session.edit, name="edit"),
    path("sessions/<uuid:uuid>/release/", session.release, name="release"),
    path("sessions/<uuid:uuid>/delete/", session.delete, name="delete"),
    path("sessions/<uuid:uuid>/requests/<int:pk>/", answers.answer, name="answer"),
    path("sessions/<uuid:uuid>/tell/", answers.tell, name="tell"),
    path("sessions/<uuid:uuid>/messages/", transcript.messages, name="messages"),
    path("sessions/<uuid:uuid>/messages/<int:pk>/", transcript.message, name="message"),
    path("sessions/<uuid:uuid>/metadata/<int:pk>/", transcript.value, name="value"),
    path("sessions/<uuid:uuid>/tools/<int:pk>/", transcript.tool, name="tool"),
    path("sessions/<uuid:uuid>/checkpoints/", checkpoints.checkpoints, name="checkpoints"),
    path("sessions/<uuid:uuid>/checkpoints/<int:seq>/fork/", checkpoints.fork, name="fork"),
    path("sessions/<uuid:uuid>/events/", log.events, name="events"),
    path("sessions/<uuid:uuid>/events/<int:seq>/", log.event, name="event"),
]
