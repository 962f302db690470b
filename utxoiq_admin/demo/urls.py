from django.urls import path

from utxoiq_admin.demo import views

app_name = "demo"
urlpatterns = [path("demo/remove", views.remove, name="remove")]
