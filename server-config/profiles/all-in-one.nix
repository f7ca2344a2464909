# One machine that does everything: where most people start.
{ lib, ... }:
{
  berth.features = {
    previewOperator = lib.mkDefault true;
    previewContainers = lib.mkDefault true;
    ingress = lib.mkDefault true;
    database = lib.mkDefault true;
    observability = lib.mkDefault true;
    backup = lib.mkDefault true;
    agents = lib.mkDefault true;
  };
}
