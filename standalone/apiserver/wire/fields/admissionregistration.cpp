// Field numbers, admissionregistration.k8s.io. What a line means is told in wire/fields.cpp.
#include "standalone/apiserver/wire/fields.hpp"

namespace nodevirt::apiserver::wire {

constinit const std::string_view kAdmissionregistrationFields = R"(#adm.MatchCondition
1 name s
2 expression s
#adm.MutatingWebhook
1 name s
2 clientConfig =adm.WebhookClientConfig
3 rules +=adm.RuleWithOperations
4 failurePolicy *s
5 namespaceSelector *=meta.LabelSelector
6 sideEffects *s
7 timeoutSeconds *i
8 admissionReviewVersions +s
9 matchPolicy *s
10 reinvocationPolicy *s
11 objectSelector *=meta.LabelSelector
12 matchConditions +=adm.MatchCondition
#adm.MutatingWebhookConfiguration
1 metadata =meta.ObjectMeta
2 webhooks +=adm.MutatingWebhook
#adm.Rule
1 apiGroups +s
2 apiVersions +s
3 resources +s
4 scope *s
#adm.RuleWithOperations
1 operations +s
2 ~ =adm.Rule
#adm.ServiceReference
1 namespace s
2 name s
3 path *s
4 port *i
#adm.ValidatingWebhook
1 name s
2 clientConfig =adm.WebhookClientConfig
3 rules +=adm.RuleWithOperations
4 failurePolicy *s
5 namespaceSelector *=meta.LabelSelector
6 sideEffects *s
7 timeoutSeconds *i
8 admissionReviewVersions +s
9 matchPolicy *s
10 objectSelector *=meta.LabelSelector
11 matchConditions +=adm.MatchCondition
#adm.ValidatingWebhookConfiguration
1 metadata =meta.ObjectMeta
2 webhooks +=adm.ValidatingWebhook
#adm.WebhookClientConfig
1 service *=adm.ServiceReference
2 caBundle y
3 url *s
)";

}  // namespace nodevirt::apiserver::wire
