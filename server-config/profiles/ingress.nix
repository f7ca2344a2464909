# The host of a fleet that the Internet talks to: webhook, dashboard and routes; it runs no container.
{ lib, ... }:
{
  berth.features = {
    previewOperator = lib.mkDefault true;
    ingress = lib.mkDefault true;
    database = lib.mkDefault true;
    mesh = lib.mkDefault true;
    observability = lib.mkDefault true;
    backup = lib.mkDefault true;
  };
}
