-- Health of Deployments for Argo CD where opsloop guards some: argocd-cm, resource.customizations.health.apps_Deployment.
-- Argo CD calls every paused Deployment Suspended. With this, one that is paused and runs what it says is Healthy, and one
-- whose template waits for its canary is Progressing; all others are judged as Argo CD does by itself.
local status, spec = obj.status or {}, obj.spec
local wanted = spec.replicas or 1
local updated, available = status.updatedReplicas or 0, status.availableReplicas or 0
if (status.observedGeneration or 0) < (obj.metadata.generation or 0) then
  return {status = "Progressing", message = "its controller has not seen the last change yet"}
end
for _, condition in ipairs(status.conditions or {}) do
  if condition.reason == "ProgressDeadlineExceeded" then
    return {status = "Degraded", message = condition.message}
  end
end
if spec.paused and updated < wanted then
  return {status = "Progressing", message = "paused: no pod runs this template yet; its Release says why"}
elseif updated < wanted then
  return {status = "Progressing", message = updated .. " of " .. wanted .. " pods are updated"}
elseif (status.replicas or 0) > updated then
  return {status = "Progressing", message = "old pods are ending"}
elseif available < updated then
  return {status = "Progressing", message = available .. " of " .. updated .. " pods are available"}
end
return {status = "Healthy", message = spec.paused and "paused at rest: a changed template is canaried" or ""}
