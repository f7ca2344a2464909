# The host of a fleet that the Internet talks to: webhook, dashboard and routes.
{ lib, ... }:
{
  berth.features = {
    previewOperator = lib.mkDefault true;
    ingress = lib.mkDefault true;
    # Placing no preview here is the fleet's matter; berth-hostd, which switches routes, comes with the containers.
    previewContainers = lib.mkDefault true;
    database = lib.mkDefault true;
    mesh = lib.mkDefault true;
    observability = lib.mkDefault true;
    backup = lib.mkDefault true;
  };
}
