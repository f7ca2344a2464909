# A host of a fleet that runs previews and takes no traffic from outside but SSH.
{ lib, ... }:
{
  berth.features = {
    previewOperator = lib.mkDefault true;
    previewContainers = lib.mkDefault true;
    database = lib.mkDefault true;
    mesh = lib.mkDefault true;
    binaryCache = lib.mkDefault true;
    observability = lib.mkDefault true;
    backup = lib.mkDefault true;
  };
}
